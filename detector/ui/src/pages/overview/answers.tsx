// The three answers, each a word, a sentence and where to go on.
import type { ComponentChildren, JSX } from "preact";
import type { Status } from "../../api-types";
import type { Problem } from "../../api/request";
import { to } from "../../navigation";
import type { Tone } from "../../parts/badges";
import { Icon, type IconName } from "../../parts/icons";
import { Failure } from "../../parts/panels";
import { bytes, count, percent, plural, rate } from "../../words/amounts";
import { MODE_TEXT, SEVERITIES } from "../../words/names";
import { external, sum } from "./outbound";

export function Answers({ state, problem }: { state: Status | null; problem: Problem | null }) {
  if (problem !== null) return <Failure problem={problem} />;
  return (
    <div class="answers">
      <Leaving state={state} />
      <Seeing state={state} />
      <BlockingAnswer state={state} />
    </div>
  );
}

/** Unexplained bytes to external hosts in a day that the first answer does not call good. */
const NOTABLE_BYTES = 1_000_000;

const SHAPES: Record<Tone, IconName> = {
  good: "good",
  warning: "medium",
  bad: "critical",
  idle: "idle",
};

interface AnswerProps {
  question: string;
  answer: string;
  tone: Tone;
  href: string;
  children: ComponentChildren;
}

function Answer({ question, answer, tone, href, children }: AnswerProps): JSX.Element {
  return (
    <section class={`answer tone-${tone}`} aria-label={question}>
      <h2 class="answer-question">{question}</h2>
      <a class="answer-word" href={href} data-row>
        <Icon name={SHAPES[tone]} />
        {answer}
      </a>
      <div class="answer-text">{children}</div>
    </section>
  );
}

function Blank({ question }: { question: string }): JSX.Element {
  return (
    <section class="answer tone-idle" aria-label={question} aria-busy="true">
      <h2 class="answer-question">{question}</h2>
      <span class="answer-word"> </span>
      <div class="answer-text">
        <span class="waiting-row" />
        <span class="waiting-row" />
      </div>
    </section>
  );
}

function Leaving({ state }: { state: Status | null }): JSX.Element {
  const question = "Is data being exfiltrated?";
  if (state === null) return <Blank question={question} />;
  const { open, acknowledged, last_24h, capped, by_severity } = state.alerts;
  const least = capped ? "at least " : "";
  const grave = by_severity.critical + by_severity.high;
  const unexplained = sum(external(state.outbound));
  // Silence is no innocence: what nothing explains is shown before there is an alert about it.
  const quiet: Tone = unexplained >= NOTABLE_BYTES ? "warning" : "good";
  const calm: Tone = state.capturing ? quiet : "idle";
  const tone: Tone = open === 0 ? calm : grave > 0 ? "bad" : "warning";
  return (
    <Answer
      question={question}
      tone={tone}
      answer={open === 0 ? "No open alerts" : `${least}${plural(open, "open alert")}`}
      href={to("/alerts", { status: "open" })}
    >
      <p>
        {open === 0 ? (
          `${least}${plural(last_24h, "alert")} in 24 h, ${count(acknowledged)} acknowledged.`
        ) : (
          <Severities counts={by_severity} />
        )}
      </p>
      <p>
        Outbound now: <b>{state.capturing ? rate(state.rates.bytes_out) : "not watched"}</b>
        {state.capturing && (
          <>
            , unexplained today: <b>{bytes(unexplained)}</b>
          </>
        )}
      </p>
    </Answer>
  );
}

function Severities({ counts }: { counts: Status["alerts"]["by_severity"] }): JSX.Element {
  const present = SEVERITIES.filter((severity) => counts[severity] > 0);
  return (
    <span class="severities">
      {present.map((severity) => (
        <a
          key={severity}
          class={`badge severity-${severity}`}
          href={to("/alerts", { status: "open", severity })}
        >
          <Icon name={severity} />
          {count(counts[severity])} {severity}
        </a>
      ))}
    </span>
  );
}

function Seeing({ state }: { state: Status | null }): JSX.Element {
  const question = "Is all traffic seen?";
  if (state === null) return <Blank question={question} />;
  if (!state.capturing) {
    return (
      <Answer question={question} tone="idle" answer="Not capturing" href="/live">
        <p>
          No agent watches an interface here. This page shows stored alerts, captures and records.
        </p>
        <p>
          To start: <code>detector run --interface eth0</code>
        </p>
      </Answer>
    );
  }
  const { coverage, loss, interfaces, flows } = state;
  const lost = loss.filter((one) => one.count > 0);
  // Before the first frame nothing has been missed.
  const ratio = coverage.ratio ?? 1;
  const tone: Tone = lost.length === 0 ? "good" : ratio < 0.99 ? "bad" : "warning";
  return (
    <Answer question={question} tone={tone} answer={`${percent(ratio)} seen`} href="/live">
      <p>
        {bytes(coverage.seen_bytes)} on {plural(interfaces, "interface")},{" "}
        {bytes(coverage.unaccounted_bytes)} unaccounted; {plural(flows, "active flow")}.
      </p>
      <p>
        {lost.length === 0 ? (
          "Nothing was lost."
        ) : (
          <a
            href="/settings"
            title={lost.map((one) => `${one.text}: ${count(one.count)}`).join("\n")}
          >
            Lost: {lost.map((one) => `${count(one.count)} ${one.name}`).join(", ")}
          </a>
        )}
      </p>
    </Answer>
  );
}

function BlockingAnswer({ state }: { state: Status | null }): JSX.Element {
  const question = "Is the agent blocking?";
  if (state === null) return <Blank question={question} />;
  const { mode, blocks } = state;
  if (mode === null) {
    return (
      <Answer question={question} tone="idle" answer="No agent" href="/response">
        <p>No agent runs with this store, so it cannot block.</p>
        <p>
          To start: <code>detector run --interface eth0</code>
        </p>
      </Answer>
    );
  }
  const { title, text } = MODE_TEXT[mode];
  return (
    <Answer
      question={question}
      tone={mode === "block" ? "good" : "idle"}
      answer={title}
      href="/response"
    >
      <p>{text}</p>
      <p>{blocks === 0 ? "No active blocks." : `${plural(blocks, "active block")}.`}</p>
    </Answer>
  );
}
