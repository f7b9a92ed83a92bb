// Models: what they are made of, and how good they are.
import { post, request } from "./request";

export interface Model {
  hash: string;
  schema: string;
  name: string;
  active: boolean;
  shipped: boolean;
  columns: number;
  trees: number;
  threshold: number;
  created_by: string;
  training: Record<string, number>;
}

export interface Importance {
  column: string;
  impurity: number;
  permutation: number | null;
}

/** A share, the interval that holds it in 95 of 100 cases, and what it is a share of. */
export interface Share {
  value: number;
  low: number;
  high: number;
  count: number;
  total: number;
}

export interface Figures {
  threshold: number;
  confusion: {
    true_positives: number;
    false_positives: number;
    true_negatives: number;
    false_negatives: number;
  };
  /** None, as the others, where there was nothing to count. */
  precision: Share | null;
  recall: Share | null;
  false_positive_rate: Share | null;
  accuracy: Share | null;
  f1: number | null;
  pr_auc: number | null;
  roc_auc?: number | null;
  rows?: number;
  units?: number;
}

export interface Evaluation extends Figures {
  importances: Importance[];
}

export interface ModelDetail extends Model {
  importances: Importance[];
  validation: Figures | null;
  config: Record<string, unknown>;
}

export const activateModel = (hash: string) =>
  post<{ model: Model; text: string }>(`/api/models/${hash}/activate`);

/** With a labelled CSV, or with the labelled samples that are stored. */
export const evaluateModel = (hash: string, csv: File | null) =>
  request<Evaluation>("POST", `/api/models/${hash}/evaluate`, {
    raw: { body: csv ?? "", type: "text/csv" },
  });

export const addModel = (file: File) =>
  request<Model>("POST", "/api/models", {
    raw: { body: file, type: "application/octet-stream" },
  });
