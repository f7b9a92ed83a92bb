// The models: which are in use, what they go by, and how good they are.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { Model, ModelDetail, ModelList } from "../../api-types";
import { activateModel, addModel } from "../../api/models";
import { changed } from "../../api/events";
import { useResource } from "../../api/resource";
import { queried, withQuery } from "../../navigation";
import { ActionButton, attempt, Lacking } from "../../parts/action";
import { StateBadge } from "../../parts/badges";
import { DialogForm, showDialog } from "../../parts/dialogs";
import { Empty, Loaded, PageHead, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { notify } from "../../parts/toasts";
import { Tree } from "../../parts/tree";
import { Evaluation } from "./evaluation";
import { Importances } from "./importances";

export function ModelPage(): JSX.Element {
  const list = useResource<ModelList>("/api/models", { on: ["models"] });
  const chosen = queried("model") || list.value?.items.find((one) => one.active)?.hash || "";
  return (
    <>
      <PageHead title="Model">
        <Lacking scope="admin" />
        <AddModel />
      </PageHead>
      <section class="panel">
        <Loaded from={list} rows={3}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty title="No model">
                <p>
                  Train one with <code>detector train</code> and add it here.
                </p>
              </Empty>
            ) : (
              <Table
                label="Models"
                columns={columnsFor(chosen, items)}
                rows={items}
                rowKey={(one) => one.hash}
              />
            )
          }
        </Loaded>
      </section>
      {chosen !== "" && <Chosen key={chosen} hash={chosen} />}
    </>
  );
}

/** The built-in models have the same name: their schema distinguishes them. */
const nameOf = (model: Model): string =>
  model.shipped ? `${model.schema}s, ${model.name}` : model.name;

const columnsFor = (chosen: string, all: Model[]): Column<Model>[] => [
  {
    title: "Model",
    cell: (one) => (
      <a
        data-open
        href={withQuery({ model: one.hash })}
        aria-current={one.hash === chosen ? "true" : undefined}
      >
        <bdi>{nameOf(one)}</bdi>
      </a>
    ),
  },
  { title: "Schema", cell: (one) => one.schema },
  { title: "Hash", wide: true, cell: (one) => <span class="mono">{one.hash}</span> },
  { title: "Trees", number: true, wide: true, cell: (one) => one.trees },
  { title: "Columns", number: true, wide: true, cell: (one) => one.columns },
  { title: "Threshold", number: true, wide: true, cell: (one) => one.threshold },
  {
    title: "State",
    cell: (one) => (
      <StateBadge tone={one.active ? "good" : "idle"}>
        {one.active ? "in use" : one.shipped ? "shipped" : "stored"}
      </StateBadge>
    ),
  },
  {
    title: "",
    cell: (one) =>
      !one.active && (
        <Activate
          model={one}
          before={all.find((other) => other.active && other.schema === one.schema)}
        />
      ),
  },
];

function Activate({ model, before }: { model: Model; before?: Model }): JSX.Element {
  const use = async (hash: string) => {
    const { text } = await activateModel(hash);
    changed("models");
    return text;
  };
  const run = async () => {
    const text = await use(model.hash);
    notify({
      text: `${model.name} is in use: ${text}`,
      undo: before === undefined ? undefined : () => use(before.hash),
    });
  };
  const ask = () =>
    showDialog(
      <DialogForm title={`Use ${model.name}`} verb="Use this model" run={run}>
        <p>
          {model.name} ({model.hash}) scores every {model.schema} from now on
          {before !== undefined && `, instead of ${before.name} (${before.hash})`}. Existing alerts
          do not change.
        </p>
      </DialogForm>,
    );
  return (
    <span class="buttons end">
      <ActionButton scope="admin" run={ask}>
        Use …
      </ActionButton>
    </span>
  );
}

function Chosen({ hash }: { hash: string }): JSX.Element {
  const detail = useResource<ModelDetail>(`/api/models/${encodeURIComponent(hash)}`);
  return (
    <Loaded from={detail} rows={8}>
      {(model) => (
        <>
          <div class="grid two">
            <Panel title="Feature importance">
              <div class="panel-body">
                <Importances importances={model.importances} />
              </div>
            </Panel>
            <Panel title="Quality">
              <Evaluation model={model} />
            </Panel>
          </div>
          <Panel title="Training">
            <div class="panel-body stack">
              <Tree value={{ created_by: model.created_by, ...model.training }} />
              <Tree value={model.config} />
            </div>
          </Panel>
        </>
      )}
    </Loaded>
  );
}

function AddModel(): JSX.Element {
  const picker = useRef<HTMLInputElement>(null);
  const add = async (file: File | undefined) => {
    if (file === undefined) return;
    const model = await addModel(file);
    changed("models");
    notify({ text: `${model.name} is stored and not yet in use` });
  };
  return (
    <>
      <ActionButton scope="admin" run={() => picker.current?.click()}>
        Add a model
      </ActionButton>
      <input
        ref={picker}
        type="file"
        hidden
        aria-label="Model file"
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          event.currentTarget.value = "";
          void attempt(() => add(file));
        }}
      />
    </>
  );
}
