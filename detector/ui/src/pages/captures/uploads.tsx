// Files on their way: dropped or chosen, sent one after another, each with its progress and a way to
// stop it. The list outlives a change of page, as the uploads do.
import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { upload, type Upload } from "../../api/captures";
import { changed } from "../../api/events";
import { asProblem } from "../../api/resource";
import { lacking } from "../../api/session";
import { Track } from "../../parts/bars";
import { notify } from "../../parts/toasts";
import { bytes, percent } from "../../words/amounts";

interface Sending {
  key: number;
  file: File;
  state: "waiting" | "sending" | "failed";
  sent: number;
  problem: string | null;
}

const sending = signal<Sending[]>([]);
const wires = new Map<number, Upload>();
let lastKey = 0;

export function DropZone(): JSX.Element {
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const reason = lacking("respond");
  const take = (files: FileList | null | undefined) => {
    if (reason !== null) notify({ text: reason, tone: "bad" });
    else add([...(files ?? [])]);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer?.files);
  };
  return (
    <div
      class={over ? "dropzone over" : "dropzone"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      <p>
        <b>Drop captures here</b>: pcap or pcapng, up to several gigabytes.
      </p>
      <button
        type="button"
        class="button primary"
        aria-disabled={reason !== null}
        title={reason ?? undefined}
        onClick={() =>
          reason === null ? picker.current?.click() : notify({ text: reason, tone: "bad" })
        }
      >
        Choose files
      </button>
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        aria-label="Captures"
        accept=".pcap,.pcapng,.cap,.dmp"
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

export function Uploads(): JSX.Element | null {
  if (sending.value.length === 0) return null;
  return (
    <section class="panel" aria-label="Uploads">
      <ul class="captures">
        {sending.value.map((one) => (
          <Row key={one.key} of={one} />
        ))}
      </ul>
    </section>
  );
}

function Row({ of: one }: { of: Sending }): JSX.Element {
  const share = one.file.size === 0 ? 0 : one.sent / one.file.size;
  const words =
    one.state === "failed" ? (
      <span class="problem" role="alert">
        {one.problem}
      </span>
    ) : (
      <span class="muted">
        {one.state === "waiting"
          ? "waiting"
          : `${bytes(one.sent)} of ${bytes(one.file.size)}, ${percent(share)}`}
      </span>
    );
  return (
    <li class="capture">
      <div class="capture-head">
        <bdi class="capture-name">{one.file.name}</bdi>
        {words}
        <button type="button" class="button" onClick={() => cancel(one.key)}>
          {one.state === "failed" ? "Dismiss" : "Cancel"}
        </button>
      </div>
      {one.state !== "failed" && (
        <div
          role="progressbar"
          aria-label={`Upload of ${one.file.name}`}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.floor(share * 100)}
        >
          <Track share={share} />
        </div>
      )}
    </li>
  );
}

function add(files: File[]): void {
  const fresh = files.map((file): Sending => ({
    key: ++lastKey,
    file,
    state: "waiting",
    sent: 0,
    problem: null,
  }));
  sending.value = [...sending.value, ...fresh];
  next();
}

function change(key: number, patch: Partial<Sending>): void {
  sending.value = sending.value.map((one) => (one.key === key ? { ...one, ...patch } : one));
}

function drop(key: number): void {
  wires.delete(key);
  sending.value = sending.value.filter((one) => one.key !== key);
}

/** One at a time: two uploads side by side take as long and end later. */
function next(): void {
  if (sending.value.some((one) => one.state === "sending")) return;
  const first = sending.value.find((one) => one.state === "waiting");
  if (first === undefined) return;
  change(first.key, { state: "sending" });
  const wire = upload(first.file, (sent) => change(first.key, { sent }));
  wires.set(first.key, wire);
  wire.done
    .then(
      (capture) => {
        drop(first.key);
        changed("captures");
        notify({ text: `${capture.name} is uploaded and queued for analysis` });
      },
      (error: unknown) => change(first.key, { state: "failed", problem: asProblem(error).message }),
    )
    .finally(next);
}

function cancel(key: number): void {
  wires.get(key)?.cancel();
  drop(key);
}
