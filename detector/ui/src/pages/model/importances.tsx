// Feature importance: how well each column splits the samples in training (impurity), and how much worse
// the model scores when the column is shuffled (permutation).
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Importance } from "../../api-types";
import { Track } from "../../parts/bars";
import { Empty } from "../../parts/panels";

type By = "impurity" | "permutation";
const FEW = 15;

export function Importances({ importances }: { importances: Importance[] }): JSX.Element {
  const [by, setBy] = useState<By>("impurity");
  const [all, setAll] = useState(false);
  if (importances.length === 0) return <Empty title="The model file has no importances" />;
  const sorted = [...importances].sort((a, b) => (b[by] ?? -1) - (a[by] ?? -1));
  const shown = all ? sorted : sorted.slice(0, FEW);
  const most = (key: By) => Math.max(...importances.map((one) => one[key] ?? 0), 1e-12);
  const measured = importances.some((one) => one.permutation !== null);
  const [mostImpurity, mostPermutation] = [most("impurity"), most("permutation")];
  return (
    <div class="stack">
      <div class="segmented" role="group" aria-label="Sorted by" hidden={!measured}>
        {(["impurity", "permutation"] as const).map((one) => (
          <button key={one} type="button" aria-pressed={one === by} onClick={() => setBy(one)}>
            by {one}
          </button>
        ))}
      </div>
      <ol class="importances">
        {shown.map((one) => (
          <li key={one.column}>
            <span class="mono importance-name">{one.column}</span>
            <span class="importance" title="impurity">
              <Track share={one.impurity / mostImpurity} /> {one.impurity.toFixed(3)}
            </span>
            {measured && (
              <span class="importance" title="permutation">
                <Track share={(one.permutation ?? 0) / mostPermutation} tone="second" />{" "}
                {one.permutation?.toFixed(3) ?? "–"}
              </span>
            )}
          </li>
        ))}
      </ol>
      <p class="hint">
        {measured
          ? "Upper bar: impurity, in training. Lower bar: permutation, on labelled samples."
          : "Impurity, in training. Permutation importance needs labelled samples of both classes. There are none yet."}
      </p>
      {sorted.length > FEW && (
        <div class="buttons">
          <button type="button" class="button" onClick={() => setAll(!all)}>
            {all ? "Show fewer" : `Show all ${sorted.length}`}
          </button>
        </div>
      )}
    </div>
  );
}
