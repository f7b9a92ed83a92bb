// Parts of a page behind links; which one is shown stands in the URL.
import type { JSX } from "preact";
import { go, queried, to } from "../navigation";

export interface Tab {
  name: string;
  title: string;
  content: () => JSX.Element;
}

export function Tabs({
  tabs,
  base,
}: {
  tabs: readonly [Tab, ...Tab[]];
  base: string;
}): JSX.Element {
  const at = Math.max(
    0,
    tabs.findIndex((tab) => tab.name === queried("tab")),
  );
  const current = tabs[at] ?? tabs[0];
  const step = (event: KeyboardEvent) => {
    const by = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = tabs[at + by];
    if (by === 0 || next === undefined) return;
    go(to(base, { tab: next.name }), { replace: true });
    (event.currentTarget as HTMLElement)
      .querySelectorAll<HTMLElement>("[role=tab]")
      [at + by]?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" onKeyDown={step}>
        {tabs.map((tab) => (
          <a
            key={tab.name}
            role="tab"
            class="tab"
            id={`tab-${tab.name}`}
            href={to(base, { tab: tab.name })}
            aria-selected={tab === current}
            aria-controls="tab-content"
            tabIndex={tab === current ? 0 : -1}
          >
            {tab.title}
          </a>
        ))}
      </div>
      <div id="tab-content" role="tabpanel" aria-labelledby={`tab-${current.name}`}>
        {current.content()}
      </div>
    </>
  );
}
