// The validator is code that Ajv wrote when this was built (write_validator.mjs): nothing is compiled at run time.
import validate from 'validator';

export const check = (values) => values.map((value) => (validate(value) ? null : validate.errors));
