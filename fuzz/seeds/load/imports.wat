(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (result i64) unreachable))
  (core instance $i (instantiate $m))
  (import "wasi:random/random@0.2.0" (instance $s (export "get-random-u64" (func (result u64)))))
  (import "wasi:cli/environment@0.2.0" (instance $e (export "get-arguments" (func (result (list string))))))
  (import "wasi:config/store@0.2.0-rc.1" (instance))
  (import "skillhost:skill/secrets@0.1.0" (instance))
  (func $f (result u64) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f)))
