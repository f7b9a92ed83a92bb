export const Response = (_: Record<string, unknown>) => <h1>Response</h1>;
