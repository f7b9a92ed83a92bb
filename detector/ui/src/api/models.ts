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

export interface ModelDetail extends Model {
  importances: Importance[];
  validation: Record<string, unknown> | null;
  config: Record<string, unknown>;
}

export const activateModel = (hash: string) =>
  post<{ model: Model; text: string }>(`/api/models/${hash}/activate`);

/** With a labelled CSV, or with the labelled samples that are stored. */
export const evaluateModel = (hash: string, csv: File | null) =>
  request<Record<string, unknown>>("POST", `/api/models/${hash}/evaluate`, {
    raw: { body: csv ?? "", type: "text/csv" },
  });

export const addModel = (file: File) =>
  request<Model>("POST", "/api/models", {
    raw: { body: file, type: "application/octet-stream" },
  });
