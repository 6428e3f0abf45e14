// Compiles code at run time: for operators who allow that. ajv_standalone.mjs is what all others take.
import Ajv from 'ajv';
import orderSchema from './order.schema.json';

export const check = (values) => {
  const validate = new Ajv({ allErrors: true, verbose: false }).compile(orderSchema);
  return values.map((value) => (validate(value) ? null : validate.errors));
};

export const own = ({ schema, values }) => {
  const validate = new Ajv({ strict: true, useDefaults: true, coerceTypes: true }).compile(schema);
  return values.map((value) => [validate(value), value, validate.errors]);
};
