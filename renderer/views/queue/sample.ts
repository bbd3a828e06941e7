/** Parameters to begin with, from a JSON Schema: its defaults and examples, else an empty value of each required member. Pure. */

export function sampleOf(schema: unknown, depth = 0): unknown {
  if (!isRecord(schema) || depth > 6) return null;
  if ('default' in schema) return schema.default;
  if ('const' in schema) return schema.const;
  if (Array.isArray(schema.examples) && schema.examples.length > 0) return schema.examples[0];
  if (Array.isArray(schema.enum) && schema.enum.length > 0) return schema.enum[0];
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type ?? (isRecord(schema.properties) ? 'object' : null)) {
    case 'object': {
      const properties = isRecord(schema.properties) ? schema.properties : {};
      const required = Array.isArray(schema.required) ? schema.required : [];
      const wanted = Object.entries(properties).filter(([name, of]) => required.includes(name) || (isRecord(of) && 'default' in of));
      return Object.fromEntries(wanted.map(([name, of]) => [name, sampleOf(of, depth + 1)]));
    }
    case 'array':
      return [];
    case 'string':
      return '';
    case 'number':
    case 'integer':
      return 0;
    case 'boolean':
      return false;
    default:
      return null;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
