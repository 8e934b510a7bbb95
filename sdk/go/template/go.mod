module skills.local/{{name}}

go 1.25

require skillhost v0.0.0

replace skillhost => ./skillhost
