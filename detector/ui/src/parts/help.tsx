// What the keys do, and how one gets a login.
import type { JSX } from "preact";
import { session } from "../api/session";
import { DialogFrame } from "./dialogs";
import { GO_KEYS } from "./keyboard";

const KEYS: [string, string][] = [
  ["/", "search"],
  ["j  k", "next, previous row"],
  ["Enter", "open the row"],
  ["c", "copy the row's address"],
  ["Esc", "close, or back to the list"],
  ["← →", "move a chart's crosshair"],
  ["?", "this list"],
];

export function Help(): JSX.Element {
  return (
    <DialogFrame title="Keys">
      <dl class="keys">
        {KEYS.map(([key, text]) => (
          <Key key={key} keys={key} text={text} />
        ))}
        {Object.entries(GO_KEYS).map(([key, [, title]]) => (
          <Key key={key} keys={`g ${key}`} text={`to ${title}`} />
        ))}
      </dl>
    </DialogFrame>
  );
}

function Key({ keys, text }: { keys: string; text: string }): JSX.Element {
  return (
    <div>
      <dt>
        {keys
          .split(" ")
          .filter(Boolean)
          .map((one) => (
            <kbd key={one}>{one}</kbd>
          ))}
      </dt>
      <dd>{text}</dd>
    </div>
  );
}

export function LoginHint(): JSX.Element {
  return (
    <DialogFrame title="Login required">
      <div class="dialog-content">
        <HowToLogin />
      </div>
    </DialogFrame>
  );
}

export function HowToLogin({ here = false }: { here?: boolean }): JSX.Element {
  const reads = session.value?.loopback === true;
  return (
    <>
      {reads && (
        <p>
          On this machine anyone can read. Changes need a login, because the audit log records
          names.
        </p>
      )}
      <p>On the machine where detector runs, type:</p>
      <pre class="command">sudo detector token create laptop --scope admin</pre>
      <p>
        It prints a token and a login link that works once. Open the link in this browser, or{" "}
        {here ? "enter the token below" : <a href="/login">enter the token</a>}. Its scope sets your
        rights: <b>read</b> to look, <b>respond</b> to acknowledge and block, <b>admin</b> to change
        the mode, models and contacts.
      </p>
    </>
  );
}
