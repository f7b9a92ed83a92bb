// Recordings that were handed in. The upload goes by XMLHttpRequest, because fetch does not tell how
// much has been sent.
import { post, Problem, query, remove, toProblem, csrf, loginWanted } from "./request";

export interface Analysis {
  id: number;
  model: string;
  started: string;
  /** None, as all that follows, while it goes on. */
  seconds: number | null;
  packets: number | null;
  bytes: number | null;
  flows: number | null;
  alerts: number | null;
  first_packet: string | null;
  last_packet: string | null;
  error: string | null;
}

export type CaptureState = "uploading" | "queued" | "analysing" | "done" | "failed" | "cancelled";

export interface Capture {
  id: number;
  name: string;
  bytes: number;
  sha256: string | null;
  uploaded: string;
  state: CaptureState;
  progress: number;
  error: string | null;
  /** The latest first. */
  analyses: Analysis[];
}

export const cancelCapture = (id: number) => post(`/api/captures/${id}/cancel`);
export const deleteCapture = (id: number) => remove(`/api/captures/${id}`);
export const analyseAgain = (id: number, model?: string) =>
  post<Capture>(`/api/captures/${id}/analyze`, model === undefined ? {} : { model });

export interface Upload {
  done: Promise<Capture>;
  cancel: () => void;
}

export function upload(file: File, onProgress: (sent: number) => void): Upload {
  const wire = new XMLHttpRequest();
  const done = new Promise<Capture>((resolve, reject) => {
    wire.upload.onprogress = (event) => onProgress(event.loaded);
    wire.onload = () => {
      if (wire.status >= 200 && wire.status < 300)
        resolve(JSON.parse(wire.responseText) as Capture);
      else reject(refused(wire));
    };
    wire.onerror = () =>
      reject(new Problem(0, "Upload broken off", "The program closed the connection."));
    wire.onabort = () => reject(new Problem(0, "Cancelled", "The upload was cancelled."));
  });
  wire.open("POST", `/api/captures${query({ name: file.name })}`);
  wire.setRequestHeader("Accept", "application/json");
  wire.setRequestHeader("Content-Type", "application/octet-stream");
  if (csrf.value !== null) wire.setRequestHeader("X-CSRF-Token", csrf.value);
  wire.send(file);
  return { done, cancel: () => wire.abort() };
}

function refused(wire: XMLHttpRequest): Problem {
  if (wire.status === 401) loginWanted.value = true;
  return toProblem(wire.status, wire.statusText, wire.responseText);
}
