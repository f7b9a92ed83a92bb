// How good a model is, in the figures that both its file and an evaluation carry.
import type { JSX } from "preact";
import type { Evaluation, Rate, Report } from "../../api-types";
import { count } from "../../words/amounts";

/** A model's file has fewer figures than an evaluation. */
type Figures = Report & Partial<Evaluation>;

const SHARES: readonly [keyof Figures, string, string][] = [
  ["precision", "Precision", "share of its alerts that are exfiltration"],
  ["recall", "Recall", "share of all exfiltration that it detects"],
  ["false_positive_rate", "False positives", "share of ordinary traffic that it flags"],
  ["accuracy", "Accuracy", "share of all verdicts that are right"],
];

const NUMBERS: readonly [keyof Figures, string][] = [
  ["f1", "F1"],
  ["pr_auc", "Area under the precision-recall curve"],
  ["roc_auc", "Area under the ROC curve"],
  ["threshold", "Threshold"],
  ["rows", "Rows"],
  ["units", "Senders or records"],
];

export function ReportTable({ of: figures }: { of: Figures }): JSX.Element {
  const { true_positives, false_positives, true_negatives, false_negatives } = figures.confusion;
  return (
    <div class="stack">
      <table class="confusion">
        <thead>
          <tr>
            <td />
            <th scope="col">flagged</th>
            <th scope="col">not flagged</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row">exfiltration</th>
            <td>{count(true_positives)}</td>
            <td>{count(false_negatives)}</td>
          </tr>
          <tr>
            <th scope="row">ordinary</th>
            <td>{count(false_positives)}</td>
            <td>{count(true_negatives)}</td>
          </tr>
        </tbody>
      </table>
      <dl class="tree">
        {SHARES.map(([key, name, meaning]) => (
          <Line key={key} name={name} title={meaning} text={inWords(figures[key] as Rate | null)} />
        ))}
        {NUMBERS.map(([key, name]) => {
          const value = figures[key] as number | null | undefined;
          return value === undefined ? null : <Line key={key} name={name} text={tidy(value)} />;
        })}
      </dl>
    </div>
  );
}

function Line({ name, text, title }: { name: string; text: string; title?: string }): JSX.Element {
  return (
    <div class="leaf" title={title}>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </div>
  );
}

const hundredth = (share: number): string => (share * 100).toFixed(1);

/** With the interval that holds it in 95 of 100 cases. */
function inWords(share: Rate | null): string {
  if (share === null) return "– (no samples)";
  const { value, low, high, count: part, total } = share;
  const interval = `${hundredth(low)} to ${hundredth(high)}`;
  return `${hundredth(value)} % (${interval}), ${count(part)} of ${count(total)}`;
}

const digits = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 4 });

const tidy = (value: number | null): string => (value === null ? "–" : digits.format(value));
