// node write_validator.mjs PACKAGES SCHEMA VALIDATOR: writes the code that validates what the schema describes.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [packages, schema, validator] = process.argv.slice(2);
const require = createRequire(`${packages}/package.json`);
const Ajv = require('ajv').default;
const standalone = require('ajv/dist/standalone').default;

const ajv = new Ajv({ allErrors: true, code: { source: true } });
writeFileSync(validator, standalone(ajv, ajv.compile(JSON.parse(readFileSync(schema, 'utf8')))));
