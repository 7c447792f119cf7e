"""What is measured: `counting` what a process does, `facts` what the database says, `exposition` both of them."""
