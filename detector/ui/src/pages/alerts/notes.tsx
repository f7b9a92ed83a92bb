// Notes on an alert, and related alerts.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { AlertDetail, StoredAlert } from "../../api-types";
import { addNote } from "../../api/alerts";
import { place } from "../../navigation";
import { ActionButton } from "../../parts/action";
import { SeverityBadge } from "../../parts/badges";
import { Time } from "../../parts/time";

export function Notes({
  alert,
  changed,
}: {
  alert: AlertDetail;
  changed: () => void;
}): JSX.Element {
  const [text, setText] = useState("");
  const add = async () => {
    await addNote(alert.id, text.trim());
    setText("");
    changed();
  };
  return (
    <div class="panel-body stack">
      {alert.notes.map((note) => (
        <div key={`${note.time} ${note.text}`} class="written">
          <p class="hint">
            <bdi>{note.who}</bdi>, <Time at={note.time} />
          </p>
          <p class="written-text">
            <bdi>{note.text}</bdi>
          </p>
        </div>
      ))}
      <div class="field">
        <label for="note">Add a note</label>
        <textarea
          id="note"
          dir="auto"
          value={text}
          placeholder="Findings"
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </div>
      <div class="buttons">
        <ActionButton
          scope="respond"
          unless={text.trim() === "" ? "Type a note first." : null}
          run={add}
        >
          Add note
        </ActionButton>
      </div>
    </div>
  );
}

export function Related({ alerts }: { alerts: StoredAlert[] }): JSX.Element {
  const search = place.value.query.toString();
  return (
    <ul class="alert-briefs">
      {alerts.map((alert) => (
        <li key={alert.id} class="alert-brief" data-row tabIndex={-1}>
          <SeverityBadge severity={alert.severity} />
          <a
            class="headline"
            data-open
            href={`/alerts/${alert.id}${search === "" ? "" : `?${search}`}`}
          >
            <bdi>{alert.headline}</bdi>
          </a>
          <Time at={alert.time} />
        </li>
      ))}
    </ul>
  );
}
