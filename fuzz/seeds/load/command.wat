(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (result i32) unreachable))
  (core instance $i (instantiate $m))
  (func $f (result (result)) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (instance $x (export "run" (func $f)))
  (export "wasi:cli/run@0.2.0" (instance $x)) (export "run" (func $f)))
