// An address is a way to everything known about it: a link to its page, and a button that copies it.
// Names from the wire are shown as text, isolated from the direction of what surrounds them.
import type { JSX } from "preact";
import { Icon } from "./icons";
import { notify } from "./toasts";

export const hostPath = (address: string): string => `/hosts/${encodeURIComponent(address)}`;

export async function copy(text: string, called = text): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    notify({ text: `Copied ${called}` });
  } catch {
    notify({
      text: "The browser does not allow copying here. Select the text instead.",
      tone: "bad",
    });
  }
}

interface AddressProps {
  address: string;
  port?: number | null;
}

export function Address({ address, port = null }: AddressProps): JSX.Element {
  const whole = endpoint(address, port);
  return (
    <span class="address" data-address={address}>
      <a href={hostPath(address)} title={`Details of ${address}`}>
        <bdi>{whole}</bdi>
      </a>
      {/* Not a stop for the tab key, of which a table would have hundreds: `c` does the same. */}
      <button
        type="button"
        class="copy"
        tabIndex={-1}
        aria-label={`Copy ${address}`}
        title="Copy (c)"
        onClick={() => void copy(address)}
      >
        <Icon name="copy" />
      </button>
    </span>
  );
}

export function endpoint(address: string, port: number | null): string {
  if (port === null || port === 0) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A name from DNS, TLS or a file: shortened to the room there is, whole in the title. */
export function Name({ text, whole = false }: { text: string; whole?: boolean }): JSX.Element {
  return (
    <bdi class={whole ? "name whole" : "name"} title={whole ? undefined : text}>
      {text}
    </bdi>
  );
}

const ADDRESS =
  /^\[?([0-9]+(?:\.[0-9]+){3}|[0-9a-f:]*:[0-9a-f:.]*:[0-9a-f:.]*?)\]?((?::[0-9]+)?)$/i;

/** Text of the program's own grammar (`pair 10.0.0.7 192.0.2.1`) with its addresses as links. */
export function Pivots({ text }: { text: string }): JSX.Element {
  return (
    <span class="pivots">
      {text.split(" ").map((word) => {
        const found = word.includes("/") ? null : ADDRESS.exec(word);
        if (found === null) return <bdi>{word} </bdi>;
        const [, address = word, port = ""] = found;
        return <Address address={address} port={port === "" ? null : Number(port.slice(1))} />;
      })}
    </span>
  );
}
