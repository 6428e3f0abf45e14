// Its WebAssembly is in the JavaScript, as base64.
import { argon2id, bcrypt, bcryptVerify, blake3, createSHA256, crc32, md5, pbkdf2, scrypt, sha1, sha3, sha512, xxhash64 } from 'hash-wasm';

export const hashes = async (text) => Object.fromEntries(await Promise.all(
  Object.entries({ blake3, crc32, md5, sha1, sha3, sha512, xxhash64 }).map(async ([name, hash]) => [name, await hash(text)])));

export const pieces = async ({ piece, times }) => {
  const sha256 = await createSHA256();
  const bytes = new TextEncoder().encode(piece);
  for (let i = 0; i < times; i++) sha256.update(bytes);
  return sha256.digest('hex');
};

export const passwords = async (password) => {
  const salt = new Uint8Array(16).fill(7);
  const hash = await bcrypt({ password, salt, costFactor: 5, outputType: 'encoded' });
  return {
    argon2: await argon2id({ password, salt, parallelism: 1, iterations: 2, memorySize: 512, hashLength: 32, outputType: 'encoded' }),
    scrypt: await scrypt({ password, salt, costFactor: 1024, blockSize: 8, parallelism: 1, hashLength: 32 }),
    pbkdf2: await pbkdf2({ password, salt, iterations: 100, hashLength: 32, hashFunction: createSHA256() }),
    bcrypt: [hash, await bcryptVerify({ password, hash }), await bcryptVerify({ password: 'another', hash })],
  };
};
