// The parts of an OpenAPI document that are shown, and its schemas in a short notation.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  required?: string[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
}

export interface Parameter {
  $ref?: string;
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Schema;
  example?: unknown;
}

interface Body {
  description?: string;
  required?: boolean;
  content?: Record<string, { schema?: Schema; example?: unknown }>;
}

export interface Operation {
  tags?: string[];
  summary?: string;
  description?: string;
  operationId?: string;
  parameters?: Parameter[];
  requestBody?: Body;
  responses?: Record<string, Body & { $ref?: string }>;
  security?: Record<string, string[]>[];
}

export interface Document {
  openapi: string;
  info: { title: string; version: string; description?: string };
  tags?: { name: string; description?: string }[];
  paths: Record<string, Record<string, Operation>>;
  components?: Record<string, Record<string, unknown>>;
}

const METHODS = ["get", "post", "put", "patch", "delete"];

export interface Route {
  method: string;
  path: string;
  operation: Operation;
}

/** The routes by tag, in the document's order. */
export function byTag(document: Document): [string, Route[]][] {
  const groups = new Map<string, Route[]>();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation === undefined) continue;
      const tag = operation.tags?.[0] ?? "other";
      groups.set(tag, [...(groups.get(tag) ?? []), { method, path, operation }]);
    }
  }
  return [...groups];
}

/** Follows a reference within the document; what leads nowhere stays as it is. */
export function resolve<T extends { $ref?: string }>(document: Document, value: T): T {
  if (value.$ref === undefined) return value;
  const [, , kind = "", name = ""] = value.$ref.split("/");
  return (document.components?.[kind]?.[name] as T | undefined) ?? value;
}

export const refName = (ref: string): string => ref.split("/").at(-1) ?? ref;

const DEEPEST = 4;

/** A schema as one reads it: names of fields, `?` where they may be absent, and their types. */
export function notation(
  document: Document,
  schema: Schema,
  depth = 0,
  open: string[] = [],
): string {
  if (schema.$ref !== undefined) return named(document, schema.$ref, depth, open);
  const several = schema.oneOf ?? schema.anyOf;
  if (several !== undefined)
    return several.map((one) => notation(document, one, depth, open)).join(" | ");
  if (schema.allOf !== undefined)
    return schema.allOf.map((one) => notation(document, one, depth, open)).join(" & ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if (schema.properties !== undefined) return fields(document, schema, depth, open);
  if (schema.items !== undefined) return `[${notation(document, schema.items, depth, open)}]`;
  const kind = [schema.type ?? "any"].flat().join(" | ");
  return schema.format === undefined ? kind : `${kind} (${schema.format})`;
}

function named(document: Document, ref: string, depth: number, open: string[]): string {
  const name = refName(ref);
  // A type that holds itself, as an alert its related alerts, is named and not unfolded.
  if (open.includes(name) || depth >= DEEPEST) return name;
  const schema = resolve<Schema>(document, { $ref: ref });
  return schema.$ref === undefined ? notation(document, schema, depth, [...open, name]) : name;
}

function fields(document: Document, schema: Schema, depth: number, open: string[]): string {
  const indent = "  ".repeat(depth + 1);
  const lines = Object.entries(schema.properties ?? {}).map(([name, one]) => {
    const mark = schema.required?.includes(name) === true ? "" : "?";
    const said = one.description === undefined ? "" : `  // ${one.description}`;
    return `${indent}${name}${mark}: ${notation(document, one, depth + 1, open)}${said}`;
  });
  return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
}

/** The bounds of a value, in words. */
export function bounds(schema: Schema): string {
  const parts: string[] = [];
  if (schema.minimum !== undefined) parts.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) parts.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) parts.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined && schema.default !== null)
    parts.push(`otherwise ${String(schema.default)}`);
  return parts.join(", ");
}
