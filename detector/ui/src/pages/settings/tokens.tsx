// Tokens: who and what may use the API. A new one is shown once.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { CreatedToken, Token, TokenList } from "../../api-types";
import { post, remove, type Problem } from "../../api/request";
import { useResource } from "../../api/resource";
import { scopes } from "../../api/session";
import { ActionButton } from "../../parts/action";
import { copy } from "../../parts/address";
import { DialogForm, DialogFrame, showDialog } from "../../parts/dialogs";
import { Field, Select, timeChoices } from "../../parts/fields";
import { Empty, Loaded, Panel } from "../../parts/panels";
import { Table, type Column } from "../../parts/tables";
import { Time } from "../../parts/time";
import { notify } from "../../parts/toasts";
import { ALLOW_TIMES } from "../../words/names";

export function Tokens(): JSX.Element | null {
  if (!scopes.value.has("admin")) return null;
  return <TokenList />;
}

function TokenList(): JSX.Element {
  const list = useResource<TokenList>("/api/tokens");
  const columns: Column<Token>[] = [
    {
      title: "Name",
      cell: (token) => (
        <b>
          <bdi>{token.name}</bdi>
        </b>
      ),
    },
    { title: "Scope", cell: (token) => token.scope },
    {
      title: "Last used",
      wide: true,
      cell: (token) => (token.last_used === null ? "never" : <Time at={token.last_used} />),
    },
    { title: "Created", wide: true, cell: (token) => <Time at={token.created} /> },
    {
      title: "Expires",
      cell: (token) => (token.expires === null ? "never" : <Time at={token.expires} />),
    },
    { title: "", cell: (token) => <Revoke token={token} done={list.reload} /> },
  ];
  const add = (
    <ActionButton scope="admin" run={() => showDialog(<Create done={list.reload} />)}>
      New token …
    </ActionButton>
  );
  return (
    <Panel title="Tokens" aside={add}>
      <Loaded from={list} rows={2}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty title="No tokens">
              <p>A token gives a script or a browser access.</p>
            </Empty>
          ) : (
            <Table label="Tokens" columns={columns} rows={items} rowKey={(token) => token.id} />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Revoke({ token, done }: { token: Token; done: () => void }): JSX.Element {
  const run = async () => {
    await remove(`/api/tokens/${encodeURIComponent(token.id)}`);
    notify({ text: `${token.name} is revoked` });
    done();
  };
  const ask = () =>
    showDialog(
      <DialogForm title="Revoke the token" verb="Revoke" danger run={run}>
        <p>
          Requests with <bdi>{token.name}</bdi> are refused, and its browsers are logged out. You
          cannot undo this. You can create a new token.
        </p>
      </DialogForm>,
    );
  return (
    <span class="buttons end">
      <ActionButton scope="admin" run={ask} label={`Revoke ${token.name}`}>
        Revoke …
      </ActionButton>
    </span>
  );
}

const FOR_GOOD = "";

function Create({ done }: { done: () => void }): JSX.Element {
  const [name, setName] = useState("");
  const [scope, setScope] = useState("read");
  const [secs, setSecs] = useState(FOR_GOOD);
  const [problem, setProblem] = useState<Problem | null>(null);
  const run = async () => {
    const token = await post<CreatedToken>("/api/tokens", {
      name: name.trim(),
      scope,
      expires_in_secs: secs === FOR_GOOD ? undefined : Number(secs),
    });
    done();
    // After this dialog has closed itself.
    window.setTimeout(() => showDialog(<Created token={token} />));
  };
  return (
    <DialogForm title="New token" verb="Create" run={run} onProblem={setProblem}>
      <div class="form-grid">
        <Field
          label="Name"
          name="name"
          value={name}
          onValue={setName}
          problem={problem}
          placeholder="user or script"
          required
        />
        <Select
          label="Scope"
          name="scope"
          value={scope}
          onValue={setScope}
          choices={[
            ["read", "read: view"],
            ["respond", "respond: view, acknowledge, block"],
            ["admin", "admin: everything"],
          ]}
        />
        <Select
          label="Expires after"
          name="expires_in_secs"
          value={secs}
          onValue={setSecs}
          choices={[[FOR_GOOD, "never"], ...timeChoices(ALLOW_TIMES)]}
        />
      </div>
    </DialogForm>
  );
}

function Created({ token }: { token: CreatedToken }): JSX.Element {
  return (
    <DialogFrame title="New token">
      <div class="dialog-content">
        <p>Copy it now. It is not stored and cannot be shown again.</p>
        <Secret label="Token" text={token.token} />
        <p>For a browser, a link that works once:</p>
        <Secret label="Login link" text={token.login_link} />
      </div>
    </DialogFrame>
  );
}

function Secret({ label, text }: { label: string; text: string }): JSX.Element {
  return (
    <div class="secret">
      <pre class="command" aria-label={label}>
        {text}
      </pre>
      <button type="button" class="button" onClick={() => void copy(text, "it")}>
        Copy
      </button>
    </div>
  );
}
