export const Flows = (_: Record<string, unknown>) => <h1>Flows</h1>;
