export const ModelPage = (_: Record<string, unknown>) => <h1>ModelPage</h1>;
