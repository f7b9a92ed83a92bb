// How good a model was found when it was made, and how good it is on samples of one's own.
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Evaluation as Measured, ModelDetail } from "../../api-types";
import { evaluateModel } from "../../api/models";
import { ActionButton, attempt } from "../../parts/action";
import { Importances } from "./importances";
import { ReportTable } from "./report";

export function Evaluation({ model }: { model: ModelDetail }): JSX.Element {
  const [report, setReport] = useState<{ of: string; found: Measured } | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const run = async (csv: File | null) => {
    setReport({
      of: csv?.name ?? "the stored samples",
      found: await evaluateModel(model.hash, csv),
    });
  };
  return (
    <div class="panel-body stack">
      {model.validation === null ? (
        <p class="muted">
          {model.folds === 0
            ? "The model was trained without folds: it has no validation."
            : "The model file has no validation."}
        </p>
      ) : (
        <>
          <h3>Validation at training</h3>
          <ReportTable of={model.validation} />
        </>
      )}
      <div class="buttons">
        <ActionButton scope="read" run={() => run(null)}>
          Evaluate on stored samples
        </ActionButton>
        <button type="button" class="button" onClick={() => picker.current?.click()}>
          Evaluate on a CSV
        </button>
        <input
          ref={picker}
          type="file"
          accept=".csv,text/csv"
          hidden
          aria-label="Labelled features as CSV"
          onChange={(event) => {
            const file = event.currentTarget.files?.[0] ?? null;
            event.currentTarget.value = "";
            if (file !== null) void attempt(() => run(file));
          }}
        />
      </div>
      <p class="hint">
        Stored samples are alerts that people resolved as benign or confirmed. A CSV needs the
        features and a label.
      </p>
      {report !== null && (
        <div class="stack" aria-live="polite">
          <h3>
            On <bdi>{report.of}</bdi>
          </h3>
          <ReportTable of={report.found} />
          {report.found.importances.some((one) => one.permutation !== null) && (
            <Importances importances={report.found.importances} />
          )}
        </div>
      )}
    </div>
  );
}
