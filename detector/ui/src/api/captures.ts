// Recordings that were handed in. The upload goes by XMLHttpRequest, because fetch does not tell how
// much has been sent.
import type { Capture, NewAnalysis } from "../api-types";
import { post, Problem, query, remove, toProblem, csrf, loginWanted } from "./request";

export const cancelCapture = (id: number) => post(`/api/captures/${id}/cancel`);
export const deleteCapture = (id: number) => remove(`/api/captures/${id}`);
export const analyseAgain = (id: number, model?: string) =>
  post<Capture>(`/api/captures/${id}/analyze`, { model } satisfies NewAnalysis);

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
      reject(new Problem(0, "Upload interrupted", "The program closed the connection."));
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
