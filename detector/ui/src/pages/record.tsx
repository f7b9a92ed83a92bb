export const RecordPage = (_: Record<string, unknown>) => <h1>RecordPage</h1>;
