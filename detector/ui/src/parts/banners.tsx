// What must not be missed on any page: a lost connection, alerts that cannot be stored, and changes
// that are undone unless somebody confirms them.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Pending, StoreState } from "../api-types";
import { changed, connection, status } from "../api/events";
import { confirm } from "../api/response";
import { count, duration } from "../words/amounts";
import { ActionButton } from "./action";
import { Icon } from "./icons";
import { notify } from "./toasts";

export function Banners(): JSX.Element {
  const state = status.value;
  return (
    <div class="banners">
      {useLostFor() && (
        <div class="banner bad" role="alert">
          <Icon name="critical" />
          <p>
            <b>Connection lost.</b> This page may be out of date. It tries again by itself.
          </p>
        </div>
      )}
      {state?.store.state === "failing" && <StoreBanner store={state.store} />}
      {state?.pending.map((pending) => (
        <PendingBanner key={pending.id} pending={pending} />
      ))}
    </div>
  );
}

/** A moment without connection, as when the page is loaded, is no news. */
function useLostFor(): boolean {
  const lost = connection.value === "lost";
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!lost) {
      setShown(false);
      return undefined;
    }
    const timer = window.setTimeout(() => setShown(true), 1_500);
    return () => window.clearTimeout(timer);
  }, [lost]);
  return lost && shown;
}

function StoreBanner({ store }: { store: StoreState }): JSX.Element {
  const lost = store.not_stored.filter((one) => one.count > 0);
  return (
    <div class="banner bad" role="alert">
      <Icon name="critical" />
      <p>
        <b>The store cannot be written.</b> Detection and blocking continue.{" "}
        {lost.length > 0 &&
          `Not stored: ${lost.map((one) => `${count(one.count)} ${one.name}`).join(", ")}. `}
        {store.error}
      </p>
    </div>
  );
}

function PendingBanner({ pending }: { pending: Pending }): JSX.Element {
  const keep = async () => {
    await confirm(pending.id);
    changed("mode", "blocks", "allow");
    notify({ text: `Confirmed: ${pending.what}` });
  };
  return (
    <div class="banner warning" role="status">
      <Icon name="medium" />
      <p>
        <b>
          <bdi>{pending.what}</bdi>
        </b>{" "}
        is undone in {duration(pending.in_secs)} unless you confirm it.
      </p>
      <ActionButton scope="respond" look="primary" run={keep}>
        Confirm
      </ActionButton>
    </div>
  );
}
