export const Live = (_: Record<string, unknown>) => <h1>Live</h1>;
