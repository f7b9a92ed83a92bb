export const ApiDocs = (_: Record<string, unknown>) => <h1>ApiDocs</h1>;
