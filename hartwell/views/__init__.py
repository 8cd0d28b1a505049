"""What people see of a kernel's memory: tables and drawings of the pictures that kernel.picture takes."""
