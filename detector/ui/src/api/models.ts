// Models: what they are made of, and how good they are.
import type { Activated, Evaluation, Model } from "../api-types";
import { post, request } from "./request";

export const activateModel = (hash: string) => post<Activated>(`/api/models/${hash}/activate`);

/** With a labelled CSV, or with the labelled samples that are stored. */
export const evaluateModel = (hash: string, csv: File | null) =>
  request<Evaluation>("POST", `/api/models/${hash}/evaluate`, {
    raw: { body: csv ?? "", type: "text/csv" },
  });

export const addModel = (file: File) =>
  request<Model>("POST", "/api/models", {
    raw: { body: file, type: "application/octet-stream" },
  });
