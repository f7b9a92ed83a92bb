// The API as the program itself describes it: each route with what it takes and answers.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { useResource } from "../../api/resource";
import { queried } from "../../navigation";
import { TextField } from "../../parts/filterfields";
import { Empty, Loaded, PageHead, Panel } from "../../parts/panels";
import {
  bounds,
  byTag,
  notation,
  resolve,
  type Document,
  type Operation,
  type Parameter,
  type Route,
} from "./openapi";

export function ApiDocs(): JSX.Element {
  const document = useResource<Document>("/api/openapi.json");
  return (
    <>
      <PageHead title="API">
        <a class="button" href="/api/openapi.json" download>
          OpenAPI document
        </a>
      </PageHead>
      <Loaded from={document} rows={12}>
        {(value) => <Shown document={value} />}
      </Loaded>
    </>
  );
}

function Shown({ document }: { document: Document }): JSX.Element {
  const wanted = queried("find").toLowerCase();
  const groups = byTag(document)
    .map(([tag, routes]): [string, Route[]] => [
      tag,
      routes.filter((route) => matches(route, wanted)),
    ])
    .filter(([, routes]) => routes.length > 0);
  return (
    <>
      <p class="api-intro">
        <Marked text={document.info.description ?? ""} /> Version {document.info.version}.
      </p>
      <div class="toolbar">
        <TextField
          field={{ name: "find", label: "Find a route", example: "alerts", search: true }}
          problem={null}
        />
      </div>
      {groups.length === 0 && <Empty title="No such route" />}
      {groups.map(([tag, routes]) => (
        <Panel key={tag} title={tag}>
          <ul class="routes">
            {routes.map((route) => (
              <RouteRow key={`${route.method} ${route.path}`} route={route} document={document} />
            ))}
          </ul>
        </Panel>
      ))}
    </>
  );
}

/** What stands between backticks is code. */
function Marked({ text }: { text: string }): JSX.Element {
  const parts = text.split("`");
  return <>{parts.map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}</>;
}

const matches = ({ method, path, operation }: Route, wanted: string): boolean =>
  wanted === "" ||
  `${method} ${path} ${operation.summary ?? ""} ${operation.description ?? ""}`
    .toLowerCase()
    .includes(wanted);

function RouteRow({
  route: { method, path, operation },
  document,
}: {
  route: Route;
  document: Document;
}) {
  const [open, setOpen] = useState(false);
  return (
    <li class="route">
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary data-row>
          <span class={`method ${method}`}>{method.toUpperCase()}</span>
          <code class="route-path">{path}</code>
          <span class="muted">
            <Marked text={operation.summary ?? ""} />
          </span>
        </summary>
        {open && <OperationBody operation={operation} document={document} />}
      </details>
    </li>
  );
}

function OperationBody({ operation, document }: { operation: Operation; document: Document }) {
  const parameters = (operation.parameters ?? []).map((one) => resolve(document, one));
  const body = operation.requestBody;
  return (
    <div class="route-body">
      {operation.description !== undefined && (
        <p>
          <Marked text={operation.description} />
        </p>
      )}
      {parameters.length > 0 && <Parameters parameters={parameters} document={document} />}
      {body !== undefined && (
        <>
          <h3>Body{body.required === true ? "" : " (optional)"}</h3>
          <Contents content={body.content} document={document} />
        </>
      )}
      <h3>Answers</h3>
      {Object.entries(operation.responses ?? {}).map(([code, given]) => {
        const answer = resolve(document, given);
        return (
          <div key={code} class="route-answer">
            <p>
              <b>{code}</b> {answer.description}
            </p>
            <Contents content={answer.content} document={document} />
          </div>
        );
      })}
    </div>
  );
}

function Parameters({ parameters, document }: { parameters: Parameter[]; document: Document }) {
  return (
    <>
      <h3>Parameters</h3>
      <dl class="parameters">
        {parameters.map((one) => (
          <div key={`${one.in} ${one.name}`}>
            <dt>
              <code>{one.name}</code>{" "}
              <span class="muted">
                {one.in}
                {one.required === true && ", required"}
              </span>
            </dt>
            <dd>
              {one.schema !== undefined && <code>{notation(document, one.schema)}</code>}{" "}
              <Marked text={one.description ?? ""} />{" "}
              <span class="muted">{one.schema !== undefined && bounds(one.schema)}</span>
              {one.example !== undefined && (
                <>
                  {" "}
                  Such as <code>{String(one.example)}</code>
                </>
              )}
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}

function Contents({
  content,
  document,
}: {
  content?: Record<string, { schema?: Parameter["schema"]; example?: unknown }>;
  document: Document;
}): JSX.Element {
  return (
    <>
      {Object.entries(content ?? {}).map(([type, { schema, example }]) => (
        <div key={type} class="stack">
          <p class="hint">{type}</p>
          {schema !== undefined && <pre class="command">{notation(document, schema)}</pre>}
          {example !== undefined && <pre class="command">{JSON.stringify(example, null, 2)}</pre>}
        </div>
      ))}
    </>
  );
}
