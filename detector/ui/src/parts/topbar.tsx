// The top of every page: search, connection, mode, and the reader's own settings.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { connection, status } from "../api/events";
import { loginWanted } from "../api/request";
import { logout, session } from "../api/session";
import { go, queried, to } from "../navigation";
import { toggleZone, zone } from "../words/times";
import { StateBadge } from "./badges";
import { showDialog } from "./dialogs";
import { Help } from "./help";
import { Icon } from "./icons";
import { nextTheme, theme } from "./theme";
import { complain, notify } from "./toasts";
import { hostPath } from "./address";

export function Topbar(): JSX.Element {
  return (
    <>
      <Search />
      <div class="topbar-state">
        <Connection />
        <Mode />
      </div>
      <div class="topbar-tools">
        <button type="button" class="quiet" onClick={toggleZone} title="Times in UTC or local time">
          {zone.value === "utc" ? "UTC" : "Local"}
        </button>
        <button
          type="button"
          class="quiet"
          onClick={nextTheme}
          title={`Colours: ${theme.value}`}
          aria-label={`Colours: ${theme.value}. Change`}
        >
          <Icon name="theme" />
        </button>
        <button
          type="button"
          class="quiet"
          onClick={() => showDialog(<Help />)}
          title="Keys (?)"
          aria-label="Keys"
        >
          ?
        </button>
        <Who />
      </div>
    </>
  );
}

function Search(): JSX.Element {
  const [text, setText] = useState(queried("q"));
  const submit = (event: Event) => {
    event.preventDefault();
    go(target(text.trim()));
  };
  return (
    <form class="search" role="search" onSubmit={submit}>
      <input
        type="search"
        name="search"
        data-search
        dir="auto"
        aria-label="Search alerts by address, name or words"
        placeholder="Search: address, name, words"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

/** An address leads to its page, an alert's id to the alert, anything else to a search. */
function target(text: string): string {
  if (/^[0-9a-f]{16}(-[0-9]+)?$/.test(text)) return `/alerts/${text}`;
  const isAddress = /^[0-9]+(\.[0-9]+){3}$/.test(text) || /^[0-9a-f]*:[0-9a-f:.]*$/i.test(text);
  return isAddress ? hostPath(text) : to("/alerts", { q: text });
}

function Connection(): JSX.Element {
  const state = connection.value;
  if (state === "lost") return <StateBadge tone="bad">no connection</StateBadge>;
  return <StateBadge tone={state === "live" ? "good" : "idle"}>{state}</StateBadge>;
}

function Mode(): JSX.Element | null {
  const state = status.value;
  if (state === null) return null;
  if (state.mode === null) {
    return (
      <span class="badge plain" title="No agent runs here: detector watches and blocks nothing">
        no agent
      </span>
    );
  }
  return (
    <a class={`badge mode-${state.mode}`} href="/response" title="The agent's mode">
      {state.mode}
    </a>
  );
}

function Who(): JSX.Element {
  const known = session.value;
  if (known?.authenticated !== true) {
    return (
      <button
        type="button"
        class="quiet"
        onClick={() => {
          loginWanted.value = true;
        }}
      >
        Log in
      </button>
    );
  }
  const leave = () => logout().then(() => notify({ text: "Logged out" }), complain);
  return (
    <button
      type="button"
      class="quiet who"
      title={`Logged in as ${known.name ?? "?"} (${known.scopes.join(", ")})`}
      onClick={() => void leave()}
    >
      Log out
    </button>
  );
}
