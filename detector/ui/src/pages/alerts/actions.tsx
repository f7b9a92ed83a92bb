// The actions on an alert. Each button says what will happen and for how long, and what is
// done can be taken back.
import type { JSX } from "preact";
import type { AlertDetail } from "../../api-types";
import {
  aboutMonitor,
  alertPath,
  changeAlerts,
  confirmAlert,
  replay,
  unblockAlert,
} from "../../api/alerts";
import { changed as invalidate, status } from "../../api/events";
import { ActionButton, Lacking } from "../../parts/action";
import { showDialog } from "../../parts/dialogs";
import { notify } from "../../parts/toasts";
import { score } from "../../words/amounts";
import { BenignDialog } from "./benign";
import { BlockDialog } from "./block";
import { restore } from "./list";

interface Props {
  alert: AlertDetail;
  changed: () => void;
}

const NO_AGENT = "No agent is running here, so it cannot block. Start one: detector run";

export function Actions({ alert, blocked, changed }: Props & { blocked: boolean }): JSX.Element {
  const noAgent = status.value !== null && status.value.mode === null ? NO_AGENT : null;
  return (
    <footer class="alert-actions">
      <Lacking scope="respond" />
      <div class="buttons">
        <FirstButton alert={alert} changed={changed} />
        {!aboutMonitor(alert) && (
          <ActionButton
            scope="respond"
            look="danger"
            unless={noAgent}
            run={() => showDialog(<BlockDialog alert={alert} changed={changed} />)}
          >
            Block …
          </ActionButton>
        )}
        {blocked && (
          <ActionButton scope="respond" unless={noAgent} run={() => unblock(alert, changed)}>
            Unblock
          </ActionButton>
        )}
        {!aboutMonitor(alert) && (
          <ActionButton
            scope="respond"
            run={() => showDialog(<BenignDialog alert={alert} changed={changed} />)}
          >
            Expected …
          </ActionButton>
        )}
        {!aboutMonitor(alert) && alert.resolution !== "confirmed" && (
          <ActionButton scope="respond" run={() => confirm(alert, changed)}>
            Confirm exfiltration
          </ActionButton>
        )}
        {alert.status !== "closed" && (
          <ActionButton scope="respond" run={mark(alert, "close", "closed", changed)}>
            Close
          </ActionButton>
        )}
        {!aboutMonitor(alert) && (
          <ActionButton scope="read" run={() => recompute(alert)}>
            Replay
          </ActionButton>
        )}
        <a
          class="button"
          href={`${alertPath(alert.id)}/evidence`}
          download={`alert-${alert.id}.json`}
        >
          Download evidence
        </a>
      </div>
    </footer>
  );
}

/** What comes first: somebody looks after it, or it was closed too early. */
function FirstButton({ alert, changed }: Props): JSX.Element | null {
  switch (alert.status) {
    case "open":
      return (
        <ActionButton
          scope="respond"
          look="primary"
          run={mark(alert, "acknowledge", "acknowledged", changed)}
        >
          Acknowledge
        </ActionButton>
      );
    case "closed":
      return (
        <ActionButton scope="respond" run={mark(alert, "reopen", "reopened", changed)}>
          Reopen
        </ActionButton>
      );
    case "acknowledged":
      return null;
  }
}

const mark =
  (
    alert: AlertDetail,
    what: "acknowledge" | "close" | "reopen",
    word: string,
    changed: () => void,
  ) =>
  async () => {
    await changeAlerts(what, [alert.id]);
    notify({ text: `The alert is ${word}`, undo: () => restore([alert]).then(changed) });
    changed();
  };

async function confirm(alert: AlertDetail, changed: () => void): Promise<void> {
  await confirmAlert(alert.id);
  notify({
    text: "The alert is closed as exfiltration; its vector is kept for training",
    undo: () => restore([alert]).then(changed),
  });
  changed();
}

async function unblock(alert: AlertDetail, changed: () => void): Promise<void> {
  await unblockAlert(alert.id);
  invalidate("blocks");
  notify({ text: "Unblocked: all blocks of this alert" });
  changed();
}

async function recompute(alert: AlertDetail): Promise<void> {
  const answer = await replay(alert.id);
  const verdict = answer.identical
    ? "identical to the stored score"
    : "different from the stored score";
  notify({
    text: `Replayed: score ${score(answer.score)}, ${verdict}. ${answer.text}`,
    tone: answer.identical ? "plain" : "bad",
  });
}
