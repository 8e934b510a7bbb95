(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 8)
    (func (export "f") (param i32) unreachable))
  (core instance $i (instantiate $m))
  (func $f (param "a" u32) (canon lift (core func $i "f")
    (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (export "f" (func $f))
  (@custom "package-docs" "\00{\"worlds\":{\"w\":{\"funcs\":{\"f\":{\"docs\":\"Adds.\"}}}}}"))
