// Outbound bytes without an explanation: who sent them today, and to where.
import type { JSX } from "preact";
import type { Status, UnexplainedSender } from "../../api-types";
import { Address, Name } from "../../parts/address";
import { RankedBars } from "../../parts/bars";
import { Empty, Panel, Waiting } from "../../parts/panels";
import { bytes, percent } from "../../words/amounts";
import { classText } from "../../words/names";

type Outbound = Status["outbound"];

/** Senders that are shown. */
const SHOWN = 8;

/** Today's unexplained bytes to external hosts, of the senders with the most. */
export const external = ({ senders }: Outbound): UnexplainedSender[] =>
  senders
    .filter((sender) => sender.class === "evidence" || sender.class === "new")
    .sort((one, other) => other.bytes - one.bytes);

export const sum = (all: readonly { bytes: number }[]): number =>
  all.reduce((total, one) => total + one.bytes, 0);

export function Unexplained({ state }: { state: Status | null }): JSX.Element {
  const aside = state?.capturing ? <Share outbound={state.outbound} /> : null;
  return (
    <Panel title="Unexplained outbound today" aside={aside} class="rank-panel">
      {state === null ? <Waiting rows={6} /> : <Senders state={state} />}
    </Panel>
  );
}

function Share({ outbound }: { outbound: Outbound }): JSX.Element {
  const explained = sum(outbound.explained);
  const all = explained + sum(outbound.unexplained) + outbound.waiting_bytes;
  const lines = [...outbound.explained, ...outbound.unexplained].filter((one) => one.bytes > 0);
  const title = lines.map((one) => `${one.name}: ${bytes(one.bytes)}`).join("\n");
  return (
    <span class="muted" title={title}>
      {all === 0 ? "nothing sent yet" : `${percent(explained / all)} of ${bytes(all)} explained`}
    </span>
  );
}

function Senders({ state }: { state: Status }): JSX.Element {
  const senders = external(state.outbound).slice(0, SHOWN);
  if (senders.length === 0) {
    return (
      <Empty title={state.capturing ? "Nothing unexplained" : "Not capturing"}>
        <p>Uploads to external hosts without an explanation appear here, largest first.</p>
      </Empty>
    );
  }
  return <RankedBars label="Unexplained outbound today" bars={senders.map(toBar)} />;
}

const toBar = (sender: UnexplainedSender) => ({
  key: `${sender.address} ${sender.class}`,
  label: (
    <>
      <Address address={sender.address} />
      {sender.destination !== null && <Name text={`to ${target(sender)}`} />}
    </>
  ),
  value: sender.bytes,
  amount: bytes(sender.bytes),
  title: `${bytes(sender.bytes)}, ${bytes(sender.destination_bytes)} of it to ${target(sender)}: ${classText(sender.class)}`,
});

const target = ({ destination, destination_name }: UnexplainedSender): string =>
  destination_name ?? destination ?? "many destinations";
