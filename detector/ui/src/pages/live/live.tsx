// What is happening now: the interfaces that are watched, and the sessions in memory.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { status } from "../../api/events";
import { Empty, PageHead } from "../../parts/panels";
import { Interfaces } from "./interfaces";
import { Sessions } from "./sessions";

const EVERY_SECS = 2;

export function Live(): JSX.Element {
  const [paused, setPaused] = useState(false);
  const everySecs = paused ? undefined : EVERY_SECS;
  return (
    <>
      <PageHead title="Live">
        <button
          type="button"
          class="button"
          aria-pressed={paused}
          onClick={() => setPaused(!paused)}
        >
          {paused ? "Resume" : "Pause"}
        </button>
      </PageHead>
      {status.value?.mode === null ? (
        <section class="panel">
          <NoAgent />
        </section>
      ) : (
        <>
          <Interfaces everySecs={everySecs} />
          <Sessions everySecs={everySecs} />
        </>
      )}
    </>
  );
}

function NoAgent(): JSX.Element {
  return (
    <Empty title="No agent is running here">
      <p>
        The agent watches interfaces and live sessions. Start one with <code>detector run</code>.
        Earlier sessions are under <a href="/flows">Flows</a>.
      </p>
    </Empty>
  );
}
