// Recordings: handed in here, analysed by the engine that runs live, and kept to be analysed again.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { CapturePage, ModelList } from "../../api-types";
import { onCapture } from "../../api/events";
import { useResource } from "../../api/resource";
import { Lacking } from "../../parts/action";
import { Empty, Loaded, PageHead, Panel } from "../../parts/panels";
import { CaptureRow } from "./row";
import { DropZone, Uploads } from "./uploads";

export function Captures(): JSX.Element {
  const list = useResource<CapturePage>("/api/captures?limit=200", { on: ["captures"] });
  const models = useResource<ModelList>("/api/models", { on: ["models"] });
  const { value, replace } = list;
  // Progress comes by the stream, many times a second; only the row that it is about changes.
  useEffect(
    () =>
      onCapture((capture) => {
        if (value === null) return;
        replace({
          ...value,
          items: value.items.map((one) => (one.id === capture.id ? capture : one)),
        });
      }),
    [value, replace],
  );
  const choices = (models.value?.items ?? []).filter((model) => model.schema === "session");
  return (
    <>
      <PageHead title="Captures">
        <Lacking scope="respond" />
      </PageHead>
      <DropZone />
      <Uploads />
      <Panel title="Captures so far">
        <Loaded from={list} rows={4}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No captures yet">
                <p>
                  Drop a pcap or pcapng file above. The live engine analyses it, and its alerts
                  appear under Alerts with the number of the capture.
                </p>
              </Empty>
            ) : (
              <ul class="captures">
                {items.map((capture) => (
                  <CaptureRow
                    key={capture.id}
                    capture={capture}
                    models={choices}
                    changed={list.reload}
                  />
                ))}
              </ul>
            )
          }
        </Loaded>
      </Panel>
    </>
  );
}
