(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") unreachable))
  (core instance $i (instantiate $m))
  (func $f  (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "d" (func $f)) (export "word-count" (func $f))
  (instance $x (export "d" (func $f)) (export "word-count" (func $f)))
  (export "a:b/c@1.0.0-rc.1" (instance $x))
  (export "a:b/e" (instance $x)) (export "local" (instance $x)))
