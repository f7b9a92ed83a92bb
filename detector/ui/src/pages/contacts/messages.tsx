// Every message, sent or not.
import type { JSX } from "preact";
import type { DeliveryPage } from "../../api-types";
import { query } from "../../api/request";
import { useResource } from "../../api/resource";
import { go, place, queried, withQuery } from "../../navigation";
import { DeliveryTable } from "../../parts/deliveries";
import { Empty, Loaded } from "../../parts/panels";
import { Pager } from "../../parts/tables";

const LIMIT = 50;
const STATES = ["", "queued", "sent", "failed", "dropped"];

export function Messages(): JSX.Element {
  const state = queried("state");
  const cursor = place.value.query.get("cursor");
  const list = useResource<DeliveryPage>(
    `/api/deliveries${query({ state, cursor, limit: LIMIT })}`,
    { on: ["deliveries"] },
  );
  return (
    <>
      <div class="toolbar">
        <div class="segmented" role="group" aria-label="State">
          {STATES.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === state}
              onClick={() => go(withQuery({ state: one }))}
            >
              {one === "" ? "all" : one}
            </button>
          ))}
        </div>
      </div>
      <section class="panel">
        <Loaded from={list} rows={5}>
          {(page) =>
            page.items.length === 0 ? (
              <Empty title="No messages">
                <p>Messages that a rule sends appear here, with every attempt.</p>
              </Empty>
            ) : (
              <>
                <DeliveryTable deliveries={page.items} />
                <Pager next={page.next} shown={page.items.length} limit={LIMIT} />
              </>
            )
          }
        </Loaded>
      </section>
    </>
  );
}
