// The Web Cryptography API, with Curve25519 (Secure Curves).

interface Crypto {
  readonly subtle: SubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare var Crypto: { prototype: Crypto; new(...never: never): Crypto };
declare var crypto: Crypto;

type KeyType = 'private' | 'public' | 'secret';
type KeyFormat = 'jwk' | 'pkcs8' | 'raw' | 'spki';
type KeyUsage = 'decrypt' | 'deriveBits' | 'deriveKey' | 'encrypt' | 'sign' | 'unwrapKey' | 'verify' | 'wrapKey';
type HashName = 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512';
type NamedCurve = 'P-256' | 'P-384' | 'P-521';

interface Algorithm {
  name: string;
}
type AlgorithmIdentifier = Algorithm | string;
type HashAlgorithmIdentifier = { name: HashName } | HashName;
interface KeyAlgorithm {
  name: string;
}

interface CryptoKey {
  readonly type: KeyType;
  readonly extractable: boolean;
  readonly algorithm: KeyAlgorithm;
  readonly usages: KeyUsage[];
}
declare var CryptoKey: { prototype: CryptoKey; new(...never: never): CryptoKey };
interface CryptoKeyPair {
  privateKey: CryptoKey;
  publicKey: CryptoKey;
}

interface JsonWebKey {
  kty?: string;
  use?: string;
  key_ops?: string[];
  alg?: string;
  ext?: boolean;
  crv?: string;
  x?: string;
  y?: string;
  d?: string;
  n?: string;
  e?: string;
  p?: string;
  q?: string;
  dp?: string;
  dq?: string;
  qi?: string;
  oth?: { r?: string; d?: string; t?: string }[];
  k?: string;
}

interface AesCbcParams { name: 'AES-CBC'; iv: BufferSource }
interface AesCtrParams { name: 'AES-CTR'; counter: BufferSource; length: number }
interface AesGcmParams { name: 'AES-GCM'; iv: BufferSource; additionalData?: BufferSource; tagLength?: number }
interface RsaOaepParams { name: 'RSA-OAEP'; label?: BufferSource }
interface RsaPssParams { name: 'RSA-PSS'; saltLength: number }
interface EcdsaParams { name: 'ECDSA'; hash: HashAlgorithmIdentifier }
/** A context must be empty. */
interface Ed448Params { name: 'Ed448'; context?: BufferSource }
interface EcdhKeyDeriveParams { name: 'ECDH' | 'X25519' | 'X448'; public: CryptoKey }
interface HkdfParams { name: 'HKDF'; hash: HashAlgorithmIdentifier; info: BufferSource; salt: BufferSource }
interface Pbkdf2Params { name: 'PBKDF2'; hash: HashAlgorithmIdentifier; iterations: number; salt: BufferSource }
interface AesKeyGenParams { name: 'AES-CBC' | 'AES-CTR' | 'AES-GCM' | 'AES-KW'; length: number }
interface HmacKeyGenParams { name: 'HMAC'; hash: HashAlgorithmIdentifier; length?: number }
interface EcKeyGenParams { name: 'ECDSA' | 'ECDH'; namedCurve: NamedCurve }
interface RsaHashedImportParams { name: 'RSASSA-PKCS1-v1_5' | 'RSA-PSS' | 'RSA-OAEP'; hash: HashAlgorithmIdentifier }
interface RsaHashedKeyGenParams extends RsaHashedImportParams { modulusLength: number; publicExponent: Uint8Array }

type CipherParams = AesCbcParams | AesCtrParams | AesGcmParams | RsaOaepParams | 'RSA-OAEP';
type SignatureParams = RsaPssParams | EcdsaParams | Ed448Params | { name: 'HMAC' | 'RSASSA-PKCS1-v1_5' | 'Ed25519' } | 'HMAC' | 'RSASSA-PKCS1-v1_5' | 'Ed25519' | 'Ed448';
type DeriveParams = EcdhKeyDeriveParams | HkdfParams | Pbkdf2Params;
type ImportParams = AesKeyName | { name: AesKeyName | OtherKeyName } | OtherKeyName | HmacKeyGenParams | EcKeyGenParams | RsaHashedImportParams;
type AesKeyName = 'AES-CBC' | 'AES-CTR' | 'AES-GCM' | 'AES-KW';
type OctetKeyPairName = 'Ed25519' | 'Ed448' | 'X25519' | 'X448';
type OtherKeyName = 'HKDF' | 'PBKDF2' | OctetKeyPairName;

/** An operation runs at once, and counts as JavaScript without a break. */
interface SubtleCrypto {
  encrypt(algorithm: CipherParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  decrypt(algorithm: CipherParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  sign(algorithm: SignatureParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  verify(algorithm: SignatureParams, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
  digest(algorithm: HashAlgorithmIdentifier, data: BufferSource): Promise<ArrayBuffer>;
  generateKey(algorithm: RsaHashedKeyGenParams | EcKeyGenParams | { name: OctetKeyPairName } | OctetKeyPairName, extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKeyPair>;
  generateKey(algorithm: AesKeyGenParams | HmacKeyGenParams, extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKey>;
  deriveKey(algorithm: DeriveParams, baseKey: CryptoKey, derivedKey: AesKeyGenParams | HmacKeyGenParams | { name: 'HKDF' | 'PBKDF2' } | 'HKDF' | 'PBKDF2', extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKey>;
  deriveBits(algorithm: DeriveParams, baseKey: CryptoKey, length?: number | null): Promise<ArrayBuffer>;
  importKey(format: 'jwk', key: JsonWebKey, algorithm: ImportParams, extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKey>;
  importKey(format: 'pkcs8' | 'raw' | 'spki', key: BufferSource, algorithm: ImportParams, extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKey>;
  exportKey(format: 'jwk', key: CryptoKey): Promise<JsonWebKey>;
  exportKey(format: 'pkcs8' | 'raw' | 'spki', key: CryptoKey): Promise<ArrayBuffer>;
  wrapKey(format: KeyFormat, key: CryptoKey, wrappingKey: CryptoKey, algorithm: CipherParams | { name: 'AES-KW' } | 'AES-KW'): Promise<ArrayBuffer>;
  unwrapKey(format: KeyFormat, wrappedKey: BufferSource, unwrappingKey: CryptoKey, algorithm: CipherParams | { name: 'AES-KW' } | 'AES-KW', keyAlgorithm: ImportParams, extractable: boolean, usages: Iterable<KeyUsage>): Promise<CryptoKey>;
}
declare var SubtleCrypto: { prototype: SubtleCrypto; new(...never: never): SubtleCrypto };
