// Pairs of hosts by bytes sent, as a ranked list.
import type { JSX } from "preact";
import type { Talk } from "../api-types";
import { bytes, plural } from "../words/amounts";
import { Address, Name } from "./address";
import { RankedBars } from "./bars";
import { Empty } from "./panels";

export function TalkBars({ talks }: { talks: Talk[] }): JSX.Element {
  if (talks.length === 0) {
    return (
      <Empty title="No traffic yet">
        <p>Pairs of hosts appear after the first minute of traffic.</p>
      </Empty>
    );
  }
  return <RankedBars label="Top pairs" bars={talks.map(toBar)} />;
}

const toBar = (talk: Talk) => ({
  key: `${talk.src} ${talk.dst} ${talk.dst_port} ${talk.protocol}`,
  label: (
    <>
      <Address address={talk.src} />
      <span class="muted" aria-label="to">
        {" "}
        →{" "}
      </span>
      <Address address={talk.dst} port={talk.dst_port} />
      {talk.dst_name !== null && <Name text={talk.dst_name} />}
    </>
  ),
  value: talk.bytes_out,
  amount: bytes(talk.bytes_out),
  title: `${talk.protocol}: ${bytes(talk.bytes_out)} out, ${bytes(talk.bytes_in)} in, ${plural(talk.sessions, "session")}`,
});
