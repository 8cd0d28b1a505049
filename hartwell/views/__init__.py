"""What people see of a kernel's memory and of a run's time: tables and drawings of what the layers below report."""
