// What became of each message.
import type { JSX } from "preact";
import type { Delivery } from "../api-types";
import { StateBadge, type Tone } from "./badges";
import { Table, type Column } from "./tables";
import { Time } from "./time";

const TONES: Record<Delivery["state"], Tone> = {
  queued: "warning",
  sent: "good",
  failed: "bad",
  dropped: "bad",
};

const COLUMNS: Column<Delivery>[] = [
  { title: "When", cell: (delivery) => <Time at={delivery.time} /> },
  { title: "State", cell: (delivery) => <State delivery={delivery} /> },
  {
    title: "To",
    cell: (delivery) => (
      <>
        <bdi>{delivery.recipient}</bdi>
        <p class="hint">{delivery.channel}</p>
      </>
    ),
  },
  { title: "Subject", wide: true, cell: (delivery) => <Subject delivery={delivery} /> },
];

export function DeliveryTable({ deliveries }: { deliveries: Delivery[] }): JSX.Element {
  return (
    <Table
      label="Messages"
      columns={COLUMNS}
      rows={deliveries}
      rowKey={(delivery) => delivery.id}
    />
  );
}

function State({ delivery }: { delivery: Delivery }): JSX.Element {
  const { state, attempts, next_attempt, error } = delivery;
  return (
    <>
      <StateBadge tone={TONES[state]}>{state}</StateBadge>
      {(attempts > 1 || error !== null) && (
        <p class="hint">
          {attempts} attempts
          {error !== null && (
            <>
              : <bdi>{error}</bdi>
            </>
          )}
          {state === "queued" && next_attempt !== null && (
            <>
              ; next <Time at={next_attempt} />
            </>
          )}
        </p>
      )}
    </>
  );
}

function Subject({ delivery }: { delivery: Delivery }): JSX.Element {
  if (delivery.alert === null) return <bdi>{delivery.subject}</bdi>;
  return (
    <a href={`/alerts/${delivery.alert}`}>
      <bdi>{delivery.subject}</bdi>
    </a>
  );
}
