// Is the program well, what is lost and why, what it is set to; and the reader's own settings.
import type { JSX } from "preact";
import type { Check, Status } from "../../api-types";
import { status } from "../../api/events";
import { useResource } from "../../api/resource";
import { StateBadge, type Tone } from "../../parts/badges";
import { Empty, Loaded, PageHead, Panel, Waiting } from "../../parts/panels";
import { Time } from "../../parts/time";
import { Tree } from "../../parts/tree";
import { duration } from "../../words/amounts";
import { LossPanel, SinksPanel, StorePanel, TablesPanel } from "./health";
import { Preferences } from "./preferences";
import { Tokens } from "./tokens";

export function Settings(): JSX.Element {
  const first = useResource<Status>("/api/status");
  const state = status.value ?? first.value;
  return (
    <>
      <PageHead title="Settings and health">
        {state !== null && (
          <span class="muted">
            version {state.version}, running for {duration(state.uptime_secs)}, since{" "}
            <Time at={state.started} exact />
          </span>
        )}
      </PageHead>
      <Doctor />
      {state === null ? (
        <section class="panel">
          <Waiting rows={8} />
        </section>
      ) : (
        <>
          <div class="grid two">
            <LossPanel state={state} />
            <StorePanel store={state.store} />
          </div>
          <SinksPanel sinks={state.sinks} />
          <TablesPanel tables={state.tables} />
        </>
      )}
      <Preferences />
      <Tokens />
      <Configuration />
    </>
  );
}

const TONES: Record<Check["state"], Tone> = { ok: "good", warning: "warning", failed: "bad" };

function Doctor(): JSX.Element {
  const doctor = useResource<{ checks: Check[] }>("/api/doctor");
  const again = (
    <button type="button" class="button" onClick={doctor.reload}>
      Check again
    </button>
  );
  return (
    <Panel title="Doctor" aside={again}>
      <Loaded from={doctor} rows={4}>
        {({ checks }) =>
          checks.length === 0 ? (
            <Empty title="Nothing to check" />
          ) : (
            <ul class="checks">
              {checks.map((check) => (
                <li key={check.name} class="check" data-row tabIndex={-1}>
                  <StateBadge tone={TONES[check.state]}>{check.state}</StateBadge>
                  <div>
                    <p>
                      <b>{check.name}</b>: <bdi>{check.text}</bdi>
                    </p>
                    {check.remedy !== null && (
                      <p class="hint">
                        Remedy: <bdi>{check.remedy}</bdi>
                      </p>
                    )}
                  </div>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Configuration(): JSX.Element {
  const config = useResource<Record<string, unknown>>("/api/config");
  return (
    <Panel
      title="Active configuration"
      aside={<span class="muted">without secrets; edit the file to change it</span>}
    >
      <div class="panel-body">
        <Loaded from={config} rows={8}>
          {(value) => <Tree value={value} />}
        </Loaded>
      </div>
    </Panel>
  );
}
