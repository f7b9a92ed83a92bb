// Horizontal bars: who has most, and what spoke for or against. Built of elements, so that every
// name is a link and every number is text.
import type { ComponentChildren, JSX } from "preact";

interface Bar {
  key: string;
  label: ComponentChildren;
  /** What the bar's length stands for. */
  value: number;
  amount: string;
  title?: string;
}

/** A list in which the longest bar is the first. */
export function RankedBars({ bars, label }: { bars: Bar[]; label: string }): JSX.Element {
  const most = Math.max(...bars.map((bar) => bar.value), 1e-12);
  return (
    <ol class="bars" aria-label={label}>
      {bars.map((bar) => (
        <li key={bar.key} class="bar-row" data-row tabIndex={-1} title={bar.title}>
          <span class="bar-label">{bar.label}</span>
          <span class="bar-amount">{bar.amount}</span>
          <Track share={bar.value / most} />
        </li>
      ))}
    </ol>
  );
}

export function Track({ share, tone = "" }: { share: number; tone?: string }): JSX.Element {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return (
    <span class="track" aria-hidden="true">
      <span class={`track-fill ${tone}`} style={{ width }} />
    </span>
  );
}

interface Contribution {
  key: string;
  text: string;
  value: number;
  amount: string;
  title: string;
}

/** Bars to both sides of a middle line: to the right for exfiltration, to the left against it. */
export function ContributionBars({ parts }: { parts: Contribution[] }): JSX.Element {
  const most = Math.max(...parts.map((part) => Math.abs(part.value)), 1e-12);
  return (
    <ol class="contributions">
      {parts.map((part) => (
        <li key={part.key} class="contribution" title={part.title}>
          <bdi class="contribution-text">{part.text}</bdi>
          <span class="contribution-amount">{part.amount}</span>
          <ContributionBar share={part.value / most} />
        </li>
      ))}
    </ol>
  );
}

function ContributionBar({ share }: { share: number }): JSX.Element {
  const width = Math.abs(share) * 50;
  const x = share < 0 ? 50 - width : 50;
  return (
    <svg class="contribution-bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect class={share < 0 ? "against" : "for"} x={x} y="1" width={width} height="6" />
      <line class="middle" x1="50" x2="50" y1="0" y2="8" vector-effect="non-scaling-stroke" />
    </svg>
  );
}
