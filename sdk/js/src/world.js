// What the host offers, as it is. Under Node it is `fake.js`.
export * as host from 'skillhost:skill/host@0.1.0';
export * as secrets from 'skillhost:skill/secrets@0.1.0';
export * as config from 'wasi:config/store@0.2.0-rc.1';
export * as keyvalue from 'wasi:keyvalue/store@0.2.0-draft';
export * as logging from 'wasi:logging/logging@0.1.0-draft';
export * as random from 'wasi:random/random@0.2.12';
