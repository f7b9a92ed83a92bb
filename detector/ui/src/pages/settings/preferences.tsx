// How this browser shows things; kept in it and nowhere else.
import type { JSX } from "preact";
import type { Signal } from "@preact/signals";
import { Panel } from "../../parts/panels";
import { theme } from "../../parts/theme";
import { absolute, now, zone } from "../../words/times";

export function Preferences(): JSX.Element {
  return (
    <Panel title="This browser" aside={<span class="muted">now: {absolute(now.value)}</span>}>
      <div class="panel-body buttons">
        <Chooser label="Colours" value={theme} choices={["system", "light", "dark"]} />
        <Chooser label="Times" value={zone} choices={["local", "utc"]} />
      </div>
    </Panel>
  );
}

function Chooser<T extends string>({
  label,
  value,
  choices,
}: {
  label: string;
  value: Signal<T>;
  choices: readonly T[];
}): JSX.Element {
  return (
    <span class="chooser">
      <span class="muted">{label}</span>
      <span class="segmented" role="group" aria-label={label}>
        {choices.map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={value.value === one}
            onClick={() => {
              value.value = one;
            }}
          >
            {one === "utc" ? "UTC" : one}
          </button>
        ))}
      </span>
    </span>
  );
}
