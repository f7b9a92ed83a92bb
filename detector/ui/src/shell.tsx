// What surrounds every page: navigation, search, the state that always matters, and banners for what
// must not be missed.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { status } from "./api/events";
import { loginWanted } from "./api/request";
import { path, place } from "./navigation";
import { Banners } from "./parts/banners";
import { DialogHost, showDialog } from "./parts/dialogs";
import { Help, LoginHint } from "./parts/help";
import { Icon } from "./parts/icons";
import { startKeyboard } from "./parts/keyboard";
import { Toasts } from "./parts/toasts";
import { Topbar } from "./parts/topbar";
import { match, ROUTES } from "./routes";

export function Shell(): JSX.Element {
  const matched = match(path.value);
  const main = useRef<HTMLElement>(null);
  const [menu, setMenu] = useState(false);
  useEffect(() => startKeyboard(() => showDialog(<Help />)), []);
  useLoginHint();
  useEffect(() => {
    document.title = `${matched.title} · detector`;
  }, [matched.title]);
  useNewPage(matched.base, main);
  useEffect(() => setMenu(false), [place.value]);
  return (
    <div class={menu ? "shell menu-open" : "shell"}>
      <a class="skip" href="#main" onClick={(event) => skip(event, main.current)}>
        Skip to content
      </a>
      <header class="topbar">
        <button
          type="button"
          class="quiet menu-button"
          aria-label="Pages"
          aria-expanded={menu}
          aria-controls="navigation"
          onClick={() => setMenu(!menu)}
        >
          <Icon name={menu ? "close" : "menu"} />
        </button>
        <a class="brand" href="/" aria-label="detector: overview">
          <img src="/icon.svg" alt="" width="22" height="22" />
          <span class="brand-word">detector</span>
        </a>
        <Topbar />
      </header>
      <Navigation base={matched.base} />
      <main id="main" ref={main} tabIndex={-1}>
        <Banners />
        {matched.page}
      </main>
      <DialogHost />
      <Toasts />
    </div>
  );
}

function Navigation({ base }: { base: string }): JSX.Element {
  const groups = [...new Set(ROUTES.map((route) => route.group))];
  const open = status.value?.alerts.open ?? 0;
  return (
    <nav id="navigation" class="navigation" aria-label="Pages">
      {groups.map((group) => (
        <div key={group} class="nav-group">
          <p class="nav-title">{group}</p>
          {ROUTES.filter((route) => route.group === group).map((route) => (
            <a
              key={route.path}
              class="nav-link"
              href={route.path}
              aria-current={route.path === base ? "page" : undefined}
            >
              {route.title}
              {route.path === "/alerts" && open > 0 && (
                <span class="nav-count" title={`${open} open`}>
                  {open > 999 ? "999+" : open}
                </span>
              )}
            </a>
          ))}
        </div>
      ))}
    </nav>
  );
}

function skip(event: MouseEvent, main: HTMLElement | null): void {
  event.preventDefault();
  main?.focus();
}

/** On another page one starts at its top, with the keyboard and with the eyes. */
function useNewPage(base: string, main: { current: HTMLElement | null }): void {
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [base]);
}

function useLoginHint(): void {
  useEffect(() => {
    if (!loginWanted.value) return;
    loginWanted.value = false;
    showDialog(<LoginHint />);
  }, [loginWanted.value]);
}
