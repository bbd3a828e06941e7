/** A line as small as a word. Gaps in `values` (null) stay gaps. */
export function Sparkline({
  values,
  label,
  width = 64,
  height = 16,
  max,
  className = 'text-accent-ink',
}: {
  values: readonly (number | null)[];
  label: string;
  width?: number;
  height?: number;
  /** Top of the scale; the largest value if absent. */
  max?: number;
  className?: string;
}) {
  const top = Math.max(max ?? 0, ...values.map((value) => value ?? 0), 1e-9);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  const segments: string[] = [];
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const y = height - 1.5 - (Math.max(0, value) / top) * (height - 3);
    segments.push(`${pen ? 'L' : 'M'}${(index * step).toFixed(1)} ${y.toFixed(1)}`);
    pen = true;
  });
  return (
    <svg
      role="img"
      aria-label={label}
      width={width}
      height={height}
      viewBox={`0 0 ${width} ${height}`}
      className={`shrink-0 overflow-visible ${className}`}
    >
      <path d={segments.join('')} fill="none" stroke="currentColor" strokeWidth="1.25" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
