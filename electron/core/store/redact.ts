export function redact(value: unknown): string {
  return JSON.stringify(value) ?? 'null';
}
