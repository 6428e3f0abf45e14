// TypeScript, bundled with an inline source map: what throws here is told with this file's own lines.
import * as z from 'zod';

const Address = z.object({ street: z.string().min(1), city: z.string(), zip: z.string().regex(/^\d{5}$/) });
const Payment = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('card'), number: z.string().length(16) }),
  z.object({ kind: z.literal('transfer'), iban: z.string().startsWith('DE') }),
]);
const Order = z.strictObject({
  id: z.uuid(),
  email: z.email(),
  address: Address,
  payment: Payment,
  items: z.array(z.object({ name: z.string().trim(), count: z.int().positive(), tags: z.set(z.string()).optional() })).nonempty(),
  note: z.string().max(20).default('none'),
  placed: z.iso.datetime().transform((text) => new Date(text).getTime()),
}).refine((order) => order.items.length <= 3, { error: 'too many items', path: ['items'] });
type Order = z.infer<typeof Order>;

interface Checked { success: boolean; data?: Order; issues?: unknown; tree?: unknown; pretty?: string }

export function check(value: unknown): Checked {
  const result = Order.safeParse(value);
  if (result.success) return { success: true, data: result.data };
  return { success: false, issues: result.error.issues, tree: z.treeifyError(result.error), pretty: z.prettifyError(result.error) };
}

export async function checkLater(names: string[]): Promise<unknown> {
  const taken = new Set(['root']);
  const Name = z.string().refine(async (name) => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    return !taken.has(name);
  }, 'is taken');
  return (await z.array(Name).safeParseAsync(names)).error?.issues ?? 'free';
}

export const schema = (): unknown => z.toJSONSchema(Order, { unrepresentable: 'any', io: 'input' });

export const coerced = (values: unknown[]): unknown[] =>
  values.map((value) => [z.coerce.number().catch(-1).parse(value), z.stringbool().safeParse(value).data ?? null]);

enum Step { First = 1, Second }

export function price(order: { total?: number }): number {
  const total: number = z.number().optional().parse(order.total) ?? fail(Step.Second);
  return total * 1.19;
}

function fail(step: Step): never {
  throw new RangeError(`no total in step ${Step[step]}`);
}
